"""The use cases, and the ports through which they reach storage, messaging and logging."""
