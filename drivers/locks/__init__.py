"""Lock boards that speak neither Modbus nor anything standard, on a shared RS485 line."""
