"""How a tenant is checked: rules for each row, a survey of all of them, and a second look at what does not agree."""
