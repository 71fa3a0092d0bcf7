"""Log-likelihoods, surprisal and embeddings: requests, the batched scorer, prefix sharing."""
