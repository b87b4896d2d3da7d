"""What a resource is: RFC 7643 §8.7 schema documents as data, and everything that is read off them."""
