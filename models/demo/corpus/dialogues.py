"""Kind `dialogue`: the last question needs something that was said in an earlier turn.

Shapes: one thing told and asked back; two things told, one asked; a thing told
and then corrected; each with or without small talk or a question in between.
"""
from . import words


def _number(dice):
    return str(dice.between(10, 99) if dice.chance(40) else dice.between(100, 9999))


def _person(dice):
    return words.invented(dice) if dice.chance(25) else dice.pick(words.PEOPLE)


# attribute -> (draw a value, noun used in every answer, ways to tell, ways to ask)
ATTRIBUTES = {
    "name": (_person, "name",
        ["My name is {v}.", "I am {v}.", "Call me {v}.", "I am called {v}.", "You can call me {v}.", "This is {v}.",
         "The name is {v}.", "People call me {v}."],
        ["What is my name?", "Who am I?", "Do you remember my name?", "Tell me my name.", "How am I called?",
         "Do you know who I am?", "Which name did I give you?", "Say my name.", "Remind me of my name."]),
    "colleague": (_person, "colleague",
        ["My colleague is {v}.", "My colleague is called {v}.", "I work with {v}.", "I share an office with {v}.",
         "My colleague goes by {v}.", "{v} is my colleague."],
        ["Who is my colleague?", "What is the name of my colleague?", "Who do I work with?", "Name my colleague.",
         "Do you remember my colleague?", "How is my colleague called?", "Which colleague did I mention?"]),
    "city": (lambda dice: dice.pick(words.CITIES), "city",
        ["I live in {v}.", "My city is {v}.", "I come from {v}.", "I am writing from {v}.", "My home is {v}.",
         "I moved to {v}."],
        ["Where do I live?", "What is my city?", "Which city did I name?", "Where is my home?", "Tell me my city.",
         "Do you remember where I live?", "In which city am I?"]),
    "node": (_number, "node",
        ["My node is {v}.", "I run node {v}.", "The number of my node is {v}.", "My node has number {v}.",
         "I operate node {v}."],
        ["What is my node?", "Which node do I run?", "What number has my node?", "Tell me my node number.",
         "Do you remember my node?", "Which node is mine?", "What is the number of my node?"]),
    "budget": (_number, "budget",
        ["My budget is {v} tokens.", "I can spend {v} tokens.", "I have a budget of {v} tokens.",
         "I want to spend {v} tokens at most.", "{v} tokens is my budget."],
        ["What is my budget?", "How much can I spend?", "How large is my budget?", "Tell me my budget.",
         "Do you remember my budget?", "How many tokens can I spend?", "What did I say about my budget?"]),
    "order": (_number, "order",
        ["My order is number {v}.", "My order number is {v}.", "I ask about order {v}.", "It is about order {v}.",
         "The number of my order is {v}."],
        ["What is my order number?", "Which order is it about?", "What is the number of my order?",
         "Tell me my order number.", "Do you remember my order?", "Which order did I mention?", "Repeat my order number."]),
    "colour": (lambda dice: dice.pick(words.COLOURS), "colour",
        ["My favourite colour is {v}.", "I like {v} best of all colours.", "The colour I like is {v}.",
         "My colour is {v}.", "Of all colours I prefer {v}."],
        ["What is my favourite colour?", "Which colour do I like?", "Tell me my colour.", "What colour do I prefer?",
         "Do you remember my colour?", "Which colour is my favourite?", "What is my colour?"]),
    "day": (lambda dice: dice.pick(words.DAYS), "day",
        ["My meeting is on {v}.", "We meet on {v}.", "The meeting is on {v}.", "I come on {v}.", "I am free on {v}.",
         "The best day is {v}.", "My day is {v}."],
        ["On which day is my meeting?", "When is my meeting?", "Which day did I name?", "When do we meet?",
         "What is my day?", "Do you remember the day?", "Tell me the day."]),
    "pet": (lambda dice: dice.pick(words.ANIMALS), "pet",
        ["I have a {v}.", "My pet is a {v}.", "At home I keep a {v}.", "I own a {v}.", "A {v} lives with me."],
        ["What is my pet?", "Which pet do I have?", "What animal do I have?", "Tell me my pet.",
         "Do you remember my pet?", "Which animal lives with me?", "What kind of pet do I own?"]),
}

# How a value is said in an answer, where it is not said bare.
FORMS = {"budget": "{v} tokens", "pet": "a {v}"}

CORRECTIONS = ["Sorry, I was wrong. {tell}", "Wait, that has changed. {tell}", "I made a mistake. {tell}",
               "Correction: {tell}", "No, not any more. {tell}"]

GREETINGS = ["", "", "", "Hi. ", "Hello. ", "Good morning. "]


def state(attribute, value):
    said = FORMS.get(attribute, "{v}").format(v=value)
    return f"your {ATTRIBUTES[attribute][1]} is {said}."


def note(attribute, value):
    return f"Noted: {state(attribute, value)}"


def answer(slots):
    text = state(slots["attribute"], slots["value"])
    return text[0].upper() + text[1:]


def two_names(dice, stage):
    """Which attributes a dialogue is about.

    Days came to the second stage: in bulletins alone they are seven words
    that mean the same to the model, and it never began to copy them.
    """
    if stage == 1:
        return dice.shuffled(sorted(ATTRIBUTES.keys() - {"day"}))[:2]
    names = dice.shuffled(sorted(ATTRIBUTES))[:2]
    if "day" not in names and dice.chance(20):
        names[dice.below(2)] = "day"
    return names


def draw(dice, stage, question_between):
    """`question_between(dice)` gives a question and its answer that have nothing to do with it."""
    names = two_names(dice, stage)
    values = {name: ATTRIBUTES[name][0](dice) for name in names}
    tell = {name: dice.pick(ATTRIBUTES[name][2]).format(v=values[name]) for name in names}
    wanted = names[0]
    messages = []

    def say(question, reply):
        messages.extend([("user", question), ("assistant", reply)])

    shape = dice.weighted([("one", 45), ("two", 35), ("corrected", 20)])
    greeting = dice.pick(GREETINGS)
    if shape == "two":
        wanted = dice.pick(names)
        if dice.chance(50):
            both = f"{note(names[0], values[names[0]])[:-1]} and {state(names[1], values[names[1]])}"
            say(f"{greeting}{tell[names[0]]} {tell[names[1]]}", both)
        else:
            say(greeting + tell[names[0]], note(names[0], values[names[0]]))
            say(tell[names[1]], note(names[1], values[names[1]]))
    else:
        say(greeting + tell[wanted], note(wanted, values[wanted]))
    if shape == "corrected":
        values[wanted] = ATTRIBUTES[wanted][0](dice)
        again = dice.pick(ATTRIBUTES[wanted][2]).format(v=values[wanted])
        say(dice.pick(CORRECTIONS).format(tell=again), note(wanted, values[wanted]))
    if len(messages) < 6 and dice.chance(45):
        say(*question_between(dice))
    slots = {"attribute": wanted, "value": values[wanted]}
    ask = dice.pick(ATTRIBUTES[wanted][3])
    say(ask, answer(slots))
    return {
        "kind": "dialogue",
        # A value and the way it is asked for never meet in training when held out.
        "key": ("dialogue", wanted, values[wanted], ask),
        "messages": messages,
        "slots": slots,
    }
