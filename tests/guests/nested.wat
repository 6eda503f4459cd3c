;; Is a component in a component, eight deep, each with two instances of the next.
;; whole
(component $c
(component $c
(component $c
(component $c
(component $c
(component $c
(component $c
(component $c (core module $m (memory 1)) (core instance (instantiate $m)))
(instance (instantiate $c))
(instance (instantiate $c)))
(instance (instantiate $c))
(instance (instantiate $c)))
(instance (instantiate $c))
(instance (instantiate $c)))
(instance (instantiate $c))
(instance (instantiate $c)))
(instance (instantiate $c))
(instance (instantiate $c)))
(instance (instantiate $c))
(instance (instantiate $c)))
(instance (instantiate $c))
(instance (instantiate $c)))
(instance (instantiate $c))
