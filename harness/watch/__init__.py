"""``kpi watch``: notices saved changes and judges again what they can affect, and only that."""
