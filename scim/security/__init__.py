"""Who may call, and for which tenant."""
