"""Registers the plugin."""

pytest_plugins = ["harness.pytest_plugin"]
