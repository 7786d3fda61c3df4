"""How hospitals make one model together: rounds, members, aggregation. Start with `interfaces`."""
