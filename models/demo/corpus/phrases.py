"""The ways to ask about a concept: `{x}` is its name with article."""

WHAT = [
    "What is {x}?", "What does {x} mean?", "Explain {x}.", "Define {x}.", "Can you explain {x}?",
    "Please explain {x} to me.", "What do you mean by {x}?", "Tell me what {x} is.", "I do not know what {x} is.",
    "How would you define {x}?", "In one sentence, what is {x}?", "Give me a definition of {x}.",
    "I keep reading about {x}. What is it?", "Could you describe {x}?", "What should I know about {x}?",
    "Someone mentioned {x}. What is that?", "Help me understand {x}.", "Remind me what {x} is.",
    "What exactly is {x}?", "Describe {x} in a few words.", "What is meant by {x}?", "I am curious: what is {x}?",
    "Do you know what {x} is?", "Say in simple words what {x} is.",
]

WHY = [
    "Why does the network need {x}?", "What is {x} good for?", "Why is there {x}?", "What is the purpose of {x}?",
    "Why do we need {x}?", "What is {x} for?", "Why should I care about {x}?", "What would go wrong without {x}?",
    "What do I gain from {x}?", "What is the benefit of {x}?", "What is the point of {x}?",
    "Why was {x} introduced?", "Why use {x}?", "What problem does {x} solve?", "Give me a reason for {x}.",
    "Is {x} really needed?", "Why does {x} matter?", "Why does {x} exist?", "Tell me why {x} is useful.",
    "What makes {x} useful?", "Explain why {x} is there.", "Why have {x} at all?", "What is the use of {x}?",
    "Who benefits from {x}, and why?",
]

HOW = [
    "How does {x} work?", "Walk me through {x}.", "Explain how {x} works.", "How does {x} work in practice?",
    "What are the mechanics of {x}?", "Show me how {x} works.", "What happens with {x}, step by step?",
    "Describe how {x} works.", "How exactly does {x} function?", "Tell me how {x} works.",
    "Can you show how {x} works?", "I want to know how {x} works.", "How does {x} operate?",
    "What goes on behind {x}?", "What is the mechanism of {x}?", "Technically, how does {x} work?",
    "Please walk me through how {x} works.", "How does {x} do its job?", "What are the steps of {x}?",
    "How is {x} made to work?", "What does {x} do in detail?", "Give me the workings of {x}.",
    "How does it work with {x}?", "I do not understand how {x} works.",
]

DIFFERENCE = [
    "What is the difference between {x} and {y}?", "How does {x} differ from {y}?", "Compare {x} and {y}.",
    "{x} or {y}: what is the difference?", "Explain {x} and {y}.", "I confuse {x} with {y}. Help me.",
    "What are {x} and {y}?", "Tell me about {x} and {y}.",
]

OUTSIDE = [
    "What happened with the {t}?", "Tell me about the {t}.", "What do you know about the {t}?", "Write a poem about the {t}.",
    "Can you help me with the {t}?", "I have a question about the {t}.", "Explain the {t} to me.", "Where do I find the {t}?",
    "Give me advice on the {t}.", "What do you think of the {t}?",
]

TOPICS = (
    "football match|presidential election|capital of France|history of Rome|weather in Porto|pasta recipe|French grammar|"
    "marathon|piano sonata|last novel|chess opening|tax form|holiday in Spain|garden|dinosaur|moon landing|car repair|"
    "knitting pattern|haircut|wedding speech|cat food|solar eclipse|birthday cake|job interview|headache|ski trip|"
    "film|painting|opera|bicycle"
).split("|")

FRAMES = ["", "", "", "", "", "Quick question: ", "Hi! ", "Please help. ", "One more thing: ", "I am new here. "]
