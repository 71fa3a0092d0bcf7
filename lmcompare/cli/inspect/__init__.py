"""The objectives side by side on one text: what is read, what is asked, where the loss falls, who sees whom."""
