"""Pages in a real browser: the web SDK, the demo and SDKs of others, as visitors meet them."""
