"""Pictures of an arm's result. The numbers come from `statistics`; nothing is computed here."""

import io

import numpy as np
from matplotlib.figure import Figure

COLOUR, BAND = "#0b5394", "#9fc5e8"  # a dark and a light blue that stay apart in black and white


def answer(
    answer: str, losses: np.ndarray, loss_curves: np.ndarray, checks: np.ndarray, shares: np.ndarray, confidence: float
) -> bytes:
    """PNG: the share of trials that have learned over epochs (left) and their loss (right).

    losses [T, E]; loss_curves [E, 3] median, 10 %, 90 %; checks [C]; shares [C, 3] share, low, high.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(answer[0].upper() + answer[1:], fontsize=13)
    left, right = figure.subplots(1, 2)
    epochs = np.arange(1, losses.shape[1] + 1)

    left.fill_between(
        checks, 100 * shares[:, 1], 100 * shares[:, 2], color=BAND, label=f"{100 * confidence:g} % interval"
    )
    left.plot(checks, 100 * shares[:, 0], color=COLOUR, marker="." if len(checks) < 60 else None, label="share learned")
    left.set(xlabel="epoch", ylabel="trials that have learned (%)", ylim=(0, 100), xlim=(0, epochs[-1]))
    left.set_title("How many trials know every step", fontsize=11)
    left.legend(loc="upper left" if shares[:, 2].max() < 0.8 else "lower right", frameon=False)

    shown = losses[:20]
    right.plot(epochs, shown.T, color="0.75", linewidth=0.5, label=["single trials"] + [None] * (len(shown) - 1))
    right.fill_between(
        epochs, loss_curves[:, 1], loss_curves[:, 2], color=BAND, alpha=0.7, label="10 % to 90 % of trials"
    )
    right.plot(epochs, loss_curves[:, 0], color=COLOUR, label="median")
    right.set(xlabel="epoch", ylabel="loss (cross-entropy, nats)", xlim=(0, epochs[-1]), ylim=(0, None))
    right.set_title(f"Their loss, {loss_curves[-1, 0]:.3g} in the end (median)", fontsize=11)
    right.legend(loc="upper right", frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
