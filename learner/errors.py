"""What can go wrong while learning.

LearnerError
├── Superseded     another learner holds a higher epoch: stop
├── Cancelled      training was told to stop
├── Interrupted    something must come before the training under way, which begins anew
├── Unlearnable    a batch that cannot be learnt, with the reason its sender sees
└── ForeignStore   the store was learnt with another backbone
"""


class LearnerError(Exception):
    """Base of every error this room raises on purpose."""


class Superseded(LearnerError):
    """Another learner has fenced this one off; it must stop and may be restarted."""


class Cancelled(LearnerError):
    """Work was interrupted on request; nothing of it was committed."""


class Interrupted(LearnerError):
    """Work must give way to something that comes before it; it is done again afterwards."""


class Unlearnable(LearnerError):
    """A batch that no retry will make learnable."""


class ForeignStore(LearnerError, ValueError):
    """What is live was learnt with another backbone; its prompts and heads mean nothing here."""
