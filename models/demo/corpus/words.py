"""Word lists that the slots draw from, and made-up words from an open set."""

PEOPLE = (
    "Mara Rui Tomas Lena Ivo Ana Paulo Nora Felix Dina Hugo Iris Jonas Clara Emil Vera Otto Lucia Marco Sofia "
    "Bruno Elsa Karim Amina Yuki Kenji Priya Arun Chen Mei Omar Layla Pedro Rosa Nils Astrid Ewa Jan Olga Pavel "
    "Diego Carmen Sven Greta Ravi Leila Tariq Zoe Max Eva Leo Mia Ben Ada Tim Ida Sam Kim Lou Ray"
).split()

CITIES = (
    "Porto Lisbon Oslo Bergen Paris Lyon Berlin Hamburg Vienna Graz Rome Milan Madrid Seville Prague Brno Warsaw "
    "Riga Tallinn Helsinki Dublin Cork London Leeds Zurich Basel Athens Sofia Cairo Nairobi Lagos Accra Delhi Mumbai "
    "Tokyo Osaka Seoul Busan Lima Quito Bogota Santiago Toronto Boston Denver Austin Sydney Perth"
).split()

COLOURS = "red blue green yellow orange purple white black grey brown pink silver gold".split()

ANIMALS = "dog cat parrot turtle rabbit hamster horse goat pony canary".split()

GOODS = (
    "Copper Gold Silver Zinc Nickel Tin Lead Iron Steel Lithium Cobalt Platinum Coffee Cocoa Sugar Wheat Corn Rice "
    "Barley Oats Soy Cotton Wool Timber Rubber Oil Gas Coal Diesel Power Butter Milk Cheese Beef Salmon Orange Lemon "
    "Potato Tomato Tea Pepper Salt Honey Bitcoin Ether Solana Cardano Polkadot Litecoin Uranium"
).split()

CAUSES = [
    "a new tax", "a strong harvest", "a weak harvest", "a strike at the port", "heavy rain", "a long drought",
    "low stocks", "high stocks", "rising demand", "falling demand", "a mine closure", "a new mine",
    "an export ban", "a trade deal", "a storm", "a cold winter", "a warm winter", "a rate cut", "a rate rise",
    "a strong dollar", "a weak dollar", "a large sale", "a large purchase", "a plant outage", "a new rule",
    "a delayed report", "a profit warning", "good earnings", "a supply glut", "a supply gap", "a rail blockade",
    "cheap imports", "costly freight", "a software fault", "an election", "a heat wave",
]

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

SITES = (
    "greenhouse reservoir turbine boiler pump tank silo tunnel bridge well furnace cellar barn depot dam canal "
    "freezer kiln reactor pipeline station tower shaft vault dock warehouse"
).split()

# quantity -> unit
QUANTITIES = {
    "humidity": "percent",
    "temperature": "degrees",
    "pressure": "bar",
    "vibration": "microns",
    "level": "centimetres",
    "current": "amperes",
    "noise": "decibels",
    "load": "percent",
    "flow": "litres",
    "voltage": "volts",
}

SYLLABLES = (
    "ba be bo ka ke ko la le lo ma me mo na ne no ra re ro sa se so ta te to va ve vo za zo "
    "dar den dol fen gar kel lin mar mor nor pel ran sol tan ven vor"
).split()


def invented(dice):
    """A made-up name of two or three syllables."""
    return "".join(dice.pick(SYLLABLES) for _ in range(dice.between(2, 3))).capitalize()
