BvariableJ0æ*ÂätÃ»‡İA¹±×ÀÚsKBW C
ƒºB*â¦Aô7zÂ'­ÁlŒ¨Bá	Â