"""Text from a model: autoregressive decoding, unmasking, and masked spans between two contexts."""
