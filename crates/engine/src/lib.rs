//! Router, plugin chain, variables, balancer and snapshot of the gateway.
