//! Built-in plugins of the gateway, and the external-plugin phases.
