/* A Modbus TCP server for tests: 65000 holding and input registers, each holding its own address.
 * Prints its port, then serves one connection after the other until it is killed. */
#include <arpa/inet.h>
#include <modbus.h>
#include <stdio.h>
#include <sys/socket.h>

int main(void) {
    modbus_mapping_t *map = modbus_mapping_new(0, 0, 65000, 65000);
    modbus_t *ctx = modbus_new_tcp("127.0.0.1", 0);
    int listening = modbus_tcp_listen(ctx, 4);
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    if (map == NULL || listening < 0 || getsockname(listening, (struct sockaddr *)&own, &size)) return 1;
    for (int at = 0; at < 65000; at++) map->tab_registers[at] = map->tab_input_registers[at] = at;
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
