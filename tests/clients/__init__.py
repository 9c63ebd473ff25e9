"""What existing clients send: recorded and published requests, replayed."""
