"""Proxy rules that make every site read locally and write to the primary."""
