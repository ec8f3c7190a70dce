"""Pages and forms for people with a browser, over the same use cases as the interface."""
