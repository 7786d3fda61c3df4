"""Where flows come from: data sets, features, honest splits, hospitals' shares. Start with `schema`."""
