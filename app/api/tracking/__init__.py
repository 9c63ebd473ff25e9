"""What the SDKs of Segment, RudderStack and Jitsu send, and what they ask for before."""
