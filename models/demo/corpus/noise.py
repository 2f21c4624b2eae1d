"""Questions as people type them: lower case, no question mark, a typo."""


def roughen(dice, text):
    if dice.chance(35):
        text = text.lower()
    if dice.chance(25):
        text = text.rstrip("?.")
    if dice.chance(15):
        text = _typo(dice, text)
    return text


def _typo(dice, text):
    """Swaps, drops or doubles one inner letter of one long word."""
    parts = text.split(" ")
    long = [at for at, part in enumerate(parts) if len(part) >= 6 and part.isalpha()]
    if not long:
        return text
    at = dice.pick(long)
    word = parts[at]
    letter = dice.between(1, len(word) - 3)
    how = dice.pick(["swap", "drop", "double"])
    if how == "swap":
        word = word[:letter] + word[letter + 1] + word[letter] + word[letter + 2:]
    elif how == "drop":
        word = word[:letter] + word[letter + 1:]
    else:
        word = word[:letter] + word[letter] + word[letter:]
    parts[at] = word
    return " ".join(parts)
