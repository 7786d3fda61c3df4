"""Networks whose weights are one flat vector: the interface that a user's own network meets, and a plain one."""
