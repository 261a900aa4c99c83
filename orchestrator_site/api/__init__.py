"""The API's ground: keys and roles, one error shape, view sets with verbs."""
