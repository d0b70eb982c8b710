"""The votes as a label matrix, what they are like, and the exact counts that all label models learn from."""
