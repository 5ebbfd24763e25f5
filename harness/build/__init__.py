"""From a model to an artifact: passes in order, each in a process of its own, kept in a store by content."""
