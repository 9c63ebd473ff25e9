"""The console over its services: who may do what, log-in, forms, what its pages show. In a browser: tests/browser."""
