"""Adaptation of a trained network to a task: heads, linear probes, LoRA, supervised fine-tuning.

A head reads the states of ``Network.states``: the last of a decoder or an encoder; of an
encoder-decoder those of its encoder, which attends to the whole text. Its decoder is adapted by
supervised fine-tuning.
"""
