"""Three small tasks written for this project: enough to show learning, small enough to read."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.streams import StreamTask

_MAIL = {
    "refund": (
        "I want my money back",
        "Please refund my last order",
        "You charged me twice, return the difference",
        "How do I get reimbursed for a broken item?",
        "The shirt did not fit, I would like a refund",
        "When will the money be back on my card?",
    ),
    "delivery": (
        "Where is my parcel?",
        "The package has not arrived yet",
        "Tracking says delivered but nothing is here",
        "When will my order be shipped?",
        "The courier left my box with a neighbour",
        "Can you deliver on Saturday?",
    ),
    "account": (
        "I cannot log in to my profile",
        "How do I reset my password?",
        "Please change the e-mail address of my account",
        "Delete my user profile",
        "The verification code never reaches me",
        "My account has been locked",
    ),
}
_MOOD = {
    "positive": (
        "What a wonderful evening",
        "I loved every minute of it",
        "Best purchase I have made in years",
        "The staff were friendly and quick",
        "Absolutely brilliant, thank you",
        "It exceeded all my expectations",
    ),
    "negative": (
        "A complete waste of time",
        "I was bored and annoyed",
        "Worst service I have ever had",
        "It broke after two days",
        "Rude, slow and overpriced",
        "I regret buying this",
    ),
}
_HOME = {
    "lights": (
        "Turn on the lamp in the kitchen",
        "Dim the bedroom lights",
        "Switch off every light downstairs",
        "Make the living room brighter",
        "It is too dark in the hallway",
        "Set the desk lamp to red",
    ),
    "music": (
        "Play some jazz",
        "Skip this song",
        "Turn the volume down",
        "Put on my workout playlist",
        "Which band is playing?",
        "Resume the album from yesterday",
    ),
    "heating": (
        "Set the thermostat to twenty degrees",
        "It is freezing in here, warm it up",
        "Lower the temperature at night",
        "Turn the radiator off",
        "How warm is the bathroom?",
        "Heat the office before eight",
    ),
}


def _task(name: str, classes: Mapping[str, tuple[str, ...]]) -> StreamTask:
    rows = tuple((text, label) for label, texts in classes.items() for text in texts)
    return StreamTask(name, rows, rows)


LESSONS = (_task("mail", _MAIL), _task("mood", _MOOD), _task("home", _HOME))
TEXTS = tuple(text for lesson in LESSONS for text, _ in lesson.train)
