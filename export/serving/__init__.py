"""A generator behind TensorFlow Serving: the server's configuration, and a client."""
