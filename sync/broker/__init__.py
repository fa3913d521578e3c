"""The AMQP broker between gateways and hub, for both ends: names, connections, publishing, what went wrong."""
