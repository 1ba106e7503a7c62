//! Tests against real processes: the gateway, an echo upstream, a raw HTTP client.
