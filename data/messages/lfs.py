"""The labeling functions of the messages demo: what a message to a shop is about.

Each function at the top level votes for a class or abstains; the pipeline applies them to the column ``text``
of the examples.  After an edit only the functions that changed run again.
"""

import re

from ws_pipeline.labeling import keyword_lf, labeling_function, regex_lf

ABSTAIN, BILLING, DELIVERY, TECHNICAL = -1, 0, 1, 2

# keywords: one pass of a compiled pattern over the whole column
money_words = keyword_lf("money_words", ["charged", "refund", "money", "invoice", "receipt"], BILLING)
card_words = keyword_lf("card_words", ["credit card", "card", "bank statement", "discount"], BILLING)
parcel_words = keyword_lf("parcel_words", ["parcel", "courier", "driver", "tracking", "depot"], DELIVERY)
login_words = keyword_lf("login_words", ["log in", "sign in", "password"], TECHNICAL)
app_words = keyword_lf("app_words", ["app", "site", "button", "update", "error"], TECHNICAL)
an_amount = regex_lf("an_amount", r"\d+ euros|a payment", BILLING)


# row by row: any Python
@labeling_function()
def asks_where(x):
    """Vote for messages that ask where something is."""
    return DELIVERY if re.search(r"\bwhere is\b|\bwaiting for\b", x.text, re.IGNORECASE) else ABSTAIN


@labeling_function()
def did_not_come(x):
    """Vote for orders that have not come, or not whole."""
    text = x.text.lower()
    return DELIVERY if "arrived" in text or "missing from" in text or "supposed to come" in text else ABSTAIN


@labeling_function()
def misbehaves(x):
    """Vote for what programs do."""
    verbs = ("crash", "freez", "slow", "goes white", "does nothing", "finds nothing")
    return TECHNICAL if any(verb in x.text for verb in verbs) else ABSTAIN


# a whole column at once, with pandas
@labeling_function(vectorized=True)
def names_an_order(df):
    """Vote where a thing is named, which is right half of the time: a weak source on purpose."""
    names_it = df.text.str.contains(r"order \d+|the shoes|the lamp|a jacket|two books", regex=True)
    return names_it.map({True: DELIVERY, False: ABSTAIN})
