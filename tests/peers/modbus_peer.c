/* A Modbus server for tests: 65000 holding and input registers, each holding its own address; 100 coils.
 * Without arguments: on TCP; it prints its port. With TTY BAUD UNIT: on that serial line, 8N1; it prints "ready".
 * Serves until it is killed. */
#include <arpa/inet.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static int serve_serial(char **argv, modbus_mapping_t *map) {
    modbus_t *ctx = modbus_new_rtu(argv[1], atoi(argv[2]), 'N', 8, 1);
    uint8_t query[MODBUS_RTU_MAX_ADU_LENGTH];
    if (ctx == NULL || modbus_set_slave(ctx, atoi(argv[3])) || modbus_connect(ctx)) return 1;
    /* After a request to another unit libmodbus takes the next frame for that unit's answer, for so long. */
    modbus_set_response_timeout(ctx, 0, 150000);
    modbus_set_byte_timeout(ctx, 0, 20000);
    modbus_set_error_recovery(ctx, MODBUS_ERROR_RECOVERY_PROTOCOL);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int length = modbus_receive(ctx, query);
        if (length > 0) modbus_reply(ctx, query, length, map);
    }
}

static int serve_tcp(modbus_mapping_t *map) {
    modbus_t *ctx = modbus_new_tcp("127.0.0.1", 0);
    int listening = modbus_tcp_listen(ctx, 4);
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    if (listening < 0 || getsockname(listening, (struct sockaddr *)&own, &size)) return 1;
    printf("%d\n", ntohs(own.sin_port));
    fflush(stdout);
    for (;;) {
        int length;
        if (modbus_tcp_accept(ctx, &listening) < 0) return 1;
        while ((length = modbus_receive(ctx, query)) >= 0)
            if (length > 0) modbus_reply(ctx, query, length, map);
        modbus_close(ctx);
    }
}

int main(int argc, char **argv) {
    modbus_mapping_t *map = modbus_mapping_new(100, 0, 65000, 65000);
    if (map == NULL) return 1;
    for (int at = 0; at < 65000; at++) map->tab_registers[at] = map->tab_input_registers[at] = at;
    return argc == 4 ? serve_serial(argv, map) : serve_tcp(map);
}
