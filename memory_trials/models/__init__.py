"""What tries to remember: cells under an output layer, their initial weights, and their equations."""
