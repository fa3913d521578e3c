"""How gateways come to the hub and leave it."""
