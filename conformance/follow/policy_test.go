// What the filters of an AuthorizationPolicy say to a connection.
package follow

import (
	"fmt"
	"regexp"
	"strings"

	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbac "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbac "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcprbac "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// admits says whether a chain lets in a client; it is an error if a rule is of a form that nobody
// here has read.
func admits(chain *listener.FilterChain, client string) (bool, error) {
	var rules []*rbac.RBAC
	for _, filter := range chain.GetFilters() {
		tcp, http := &tcprbac.RBAC{}, &hcm.HttpConnectionManager{}
		switch {
		case filter.GetTypedConfig().MessageIs(tcp):
			if err := filter.GetTypedConfig().UnmarshalTo(tcp); err != nil {
				return false, err
			}
			rules = append(rules, tcp.GetRules())
		case filter.GetTypedConfig().MessageIs(http):
			if err := filter.GetTypedConfig().UnmarshalTo(http); err != nil {
				return false, err
			}
			for _, inner := range http.HttpFilters {
				it := &httprbac.RBAC{}
				if inner.GetTypedConfig().MessageIs(it) {
					if err := inner.GetTypedConfig().UnmarshalTo(it); err != nil {
						return false, err
					}
					rules = append(rules, it.GetRules())
				}
			}
		}
	}
	for _, it := range rules {
		if it == nil {
			continue
		}
		matched := false
		for _, policy := range it.Policies {
			ok, err := applies(policy, client)
			if err != nil {
				return false, err
			}
			matched = matched || ok
		}
		if matched != (it.Action == rbac.RBAC_ALLOW) {
			return false, nil
		}
	}
	return true, nil
}

// applies says whether one of a policy's permissions and one of its principals hold.
func applies(policy *rbac.Policy, client string) (bool, error) {
	permitted, known := false, false
	for _, it := range policy.Permissions {
		ok, err := permits(it)
		if err != nil {
			return false, err
		}
		permitted = permitted || ok
	}
	for _, it := range policy.Principals {
		ok, err := is(it, client)
		if err != nil {
			return false, err
		}
		known = known || ok
	}
	return permitted && known, nil
}

// permits reads the permission for everything, and that for nothing: we write no other.
func permits(it *rbac.Permission) (bool, error) {
	switch rule := it.GetRule().(type) {
	case *rbac.Permission_Any:
		return rule.Any, nil
	case *rbac.Permission_AndRules:
		for _, inner := range rule.AndRules.Rules {
			if ok, err := permits(inner); err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	case *rbac.Permission_NotRule:
		ok, err := permits(rule.NotRule)
		return !ok, err
	}
	return false, fmt.Errorf("a permission that is not read here: %v", it)
}

func is(it *rbac.Principal, client string) (bool, error) {
	switch id := it.GetIdentifier().(type) {
	case *rbac.Principal_Any:
		return id.Any, nil
	case *rbac.Principal_AndIds:
		for _, inner := range id.AndIds.Ids {
			if ok, err := is(inner, client); err != nil || !ok {
				return false, err
			}
		}
		return true, nil
	case *rbac.Principal_OrIds:
		for _, inner := range id.OrIds.Ids {
			if ok, err := is(inner, client); err != nil || ok {
				return ok, err
			}
		}
		return false, nil
	case *rbac.Principal_NotId:
		ok, err := is(id.NotId, client)
		return !ok, err
	case *rbac.Principal_Authenticated_:
		return matches(id.Authenticated.GetPrincipalName(), client)
	case *rbac.Principal_FilterState:
		return matches(id.FilterState.GetStringMatch(), client)
	}
	return false, fmt.Errorf("a principal that is not read here: %v", it)
}

func matches(it *matcher.StringMatcher, client string) (bool, error) {
	switch pattern := it.GetMatchPattern().(type) {
	case *matcher.StringMatcher_Exact:
		return client == pattern.Exact, nil
	case *matcher.StringMatcher_Prefix:
		return strings.HasPrefix(client, pattern.Prefix), nil
	case *matcher.StringMatcher_Suffix:
		return strings.HasSuffix(client, pattern.Suffix), nil
	case *matcher.StringMatcher_SafeRegex:
		whole, err := regexp.Compile("^(?:" + pattern.SafeRegex.Regex + ")$")
		return err == nil && whole.MatchString(client), err
	}
	return false, fmt.Errorf("a pattern that is not read here: %v", it)
}
