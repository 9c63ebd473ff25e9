"""Tests of the contract: the API's JSON and its meaning."""
