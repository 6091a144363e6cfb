"""What a request costs with one task learnt, and with hundreds."""
