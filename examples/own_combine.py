"""One of five hospitals poisons its updates: the mean follows it, a median and a rule of your own do not.

A rule other than the mean sees every hospital's update, so it works in the open only: under protect="aggregate" nothing
but the sum is ever decrypted, and medward refuses to combine in any other way.
"""

import numpy as np

import medward

POISONER = "hospital-5"


def poison(hospital, update):
    """Send the opposite of what was learned, thirty times as strong."""
    return -30 * update if hospital == POISONER else update


def trimmed_mean(updates):
    """Leave out the largest and the smallest update, value by value: a rule is a function from arrays to an array."""
    return np.sort(updates, axis=0)[1:-1].mean(axis=0)


def main() -> None:
    """Federate a plain network under each rule, with and without the poisoner."""
    split = medward.split(medward.load("ward", rows=4000))
    reached = {}
    for what, rule, tamper in (
        ("mean, all honest", medward.Mean(), None),
        ("mean, one poisons", medward.Mean(), poison),
        ("median, one poisons", medward.Median(), poison),
        ("trimmed mean, one poisons", trimmed_mean, poison),
    ):
        try:
            done = medward.federate(
                *(split, 5, 6), protect="none", model=medward.PlainNetwork(), combine=rule, tamper=tamper
            )
        except medward.MedwardError as error:
            print(f"{what}: {error}")
            reached[what] = 0.0
            continue
        reached[what] = done.model.evaluate(split).metrics["binary"]["macro_f1"]
        print(f"{what}: macro-F1 {reached[what]:.2f}")
    honest = reached.pop("mean, all honest")
    assert reached.pop("mean, one poisons") < 0.7 * honest
    assert min(reached.values()) > 0.9 * honest

    try:
        medward.federate(split, protect="aggregate", combine=medward.Median())
    except medward.MedwardError as error:
        print(error)
    print("the mean follows one poisoner of five, the robust rules do not")


if __name__ == "__main__":
    main()
