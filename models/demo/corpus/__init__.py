"""The generated corpus of the demo model: five kinds of dialogue, each with a checkable answer."""
