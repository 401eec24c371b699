"""Training recipes: named, versioned numbers. Each says where its numbers come from."""
