"""Calls of the SDKs of Segment, RudderStack and Jitsu, in the form of the public Segment HTTP tracking API.

`batch` is what endpoints and workers use; `calls` makes records of the gateway (app.contract.sdk) of one call, with the
help of `traits`, `orders`, `surroundings` and `clock`. docs/tracking.md has the tables.
"""
