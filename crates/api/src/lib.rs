//! What clients speak: the OpenAI shapes and the JSON face of every noun.
