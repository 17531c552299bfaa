"""What a task is: its file, its schema, and how its fields become messages and come back."""
