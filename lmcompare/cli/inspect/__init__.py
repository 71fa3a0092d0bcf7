"""The objectives side by side on one text: inputs, targets, losses and measured attention."""
